"""What a study is, where its stages lie, what the rules ask and what it costs."""
