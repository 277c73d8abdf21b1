"""The files of trials: their names, the folders and object stores that hold them, and their
transfer."""
