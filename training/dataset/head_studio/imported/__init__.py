"""Game heads from GLB files: what a file's parts are, where its head is, and its copy that both renderers draw.

`glb` reads, `parts` flattens to world space, `roles` names what things are, `placement` puts the head where cameras
and lamps expect it, `skin_regions` tells skin, cloth and painted hair of one atlas apart, `mending` repairs the copy,
`shading` makes Cycles' materials, `scenes` makes seeds. `settings` reads the TOML that overrides what was found, `template` writes
it; `elsewhere` exports cameras for other renderers and takes their images.
"""
