"""Which files the sets of parallel text that are published consist of. No numpy here."""

MULTI30K = "multi30k"  # the folder
# SHA-256 of each text, unpacked: packed again it is another file and the same text.
MULTI30K_TEXTS = {
    "train.de": "2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72",
    "train.en": "460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6",
    "val.de": "660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660",
    "val.en": "1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227",
    "test_2016_flickr.de": "4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16",
    "test_2016_flickr.en": "399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182",
}

WMT16 = "wmt16_en_de"  # the folder that resources/prepare_wmt16.py makes
WMT16_FILES = {
    "source": "en",
    "target": "de",
    "train": "train.tok.clean.bpe.32000",
    "validation": "newstest2014.tok.bpe.32000",
    "test": "newstest2015.tok.bpe.32000",
    "vocabulary": "vocab.bpe.32000",
    "validation_references": "newstest2014.de",
    "test_references": "newstest2015.de",
}
