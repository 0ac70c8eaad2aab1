"""How large what is drawn is: a page of a paper, its panels, its type."""

from matplotlib.axes import Axes

PAGE = (7.0, 9.0)  # inches, the text of a page
COLUMN_WIDTH = 3.35  # one column of a two-column page
PANEL_HEIGHT, LONE_HEIGHT = 2.05, 2.4  # of rows below each other, of a single one
COLUMNS = 3  # panels beside each other
SMALLEST = 7.0  # points of type
ROOM = 0.75  # inches for the legend and the note of a page that is full


def axes_size(panel: Axes) -> tuple[float, float]:
    """About how many inches wide and high the frame of a panel will be, before it is laid out."""
    width, height = panel.get_figure(root=True).get_size_inches()
    rows, columns, *_ = panel.get_subplotspec().get_geometry()
    return width / columns - 0.6, (height - ROOM) / rows - 0.7
