"""Likeness: do pictures show the same person? Distances between face embeddings.

dlib's ResNet turns a face into 128 numbers. Pictures of one person lie nearer than 0.6 to each other: that is the
threshold the model was trained for. All pictures of a case are aligned pixel for pixel, so a face is found once and every
picture goes through the same chip: the distance says what the pixels changed, not where a detector put its box.
"""
