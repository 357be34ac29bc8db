"""What is compared. Each system is a class with the same few verbs, so that every scenario runs on every system that can do it."""

from .base import Unavailable
from .libtorrent import Libtorrent
from .nginx import Nginx
from .rqbit import Rqbit
from .rusteze import Rusteze, RustezeOrigin
from .webtorrent import Webtorrent

ALL = (Rusteze, RustezeOrigin, Nginx, Rqbit, Libtorrent, Webtorrent)

__all__ = ["ALL", "Unavailable"]
