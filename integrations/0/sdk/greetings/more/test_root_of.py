def test_root_of(assets_root, assets_root_of):
    assert assets_root_of(__file__) == assets_root
