"""Head studio: makes random heads, their glTF scenes and path-traced reference images.

World space everywhere in this package is glTF's and Bevy's: right-handed, metres, +Y up, +Z out of
the face towards the camera, +X to the person's left. Only `blender.py` converts to Blender's Z-up
axes. The MakeHuman base mesh is stored in decimetres with the same axes; `anatomy.py` converts it.
"""
