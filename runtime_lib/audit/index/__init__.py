"""A repository, read once: `index(root)`.

files, git          what belongs to it
text, documents     what is not Python
modules, notebooks  what is
ci                  what runs by itself
dependencies        what it declares and locks
"""
