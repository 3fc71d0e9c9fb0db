"""Image files read and written in bands, in memory that grows with the width alone.

Each band is handed to Pillow as a small file of its own, and headers are taken from small files that Pillow wrote. So pixels
and metadata are by construction those of files that are read and written whole, and no other library is needed.
"""

from .reading import count_pixels as count_pixels
from .reading import open_picture as open_picture
from .reading import read_full_depth as read_full_depth
from .reading import suffixes as suffixes
from .writing import check_output_size as check_output_size
from .writing import is_streamed as is_streamed
from .writing import output_format as output_format
from .writing import write_bands as write_bands
from .writing import write_picture as write_picture
