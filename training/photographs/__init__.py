"""Photographs: are second images nearer to photographs than first images?

Faces are cut out of pictures and photographs in one way, two networks that know nothing of this project turn each into
features, and the distance between two sets of features is their squared maximum mean discrepancy. It compares sets: no
photograph shows what a picture shows. Photographs are measured and nothing else; no result has a pixel of one.
"""
