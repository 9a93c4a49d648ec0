"""The log of changes: what is put, patched and deleted."""

from service.catalogue.change import Change, decode, encode
from service.catalogue.fold import Fold
from service.log.log import Kind

CHANGE_LOG: Kind[Change] = Kind("changes.log", "bbqrec:log", encode, decode, Fold)
