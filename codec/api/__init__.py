"""The public API: `Codec`, readers and writers of pictures, and the functions behind `import codec`.

Importing it prepares the environment, which must come before the import of torch.
"""

from ..runtime import environment

environment.prepare()
