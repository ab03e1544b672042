"""What a sender announced, free of the sender's dialect."""

from model.change_request import ChangeRequest
from model.comment import Comment
from model.image_push import ImagePush
from model.push import Ignored, Ping, Push
from model.ref_deleted import RefDeleted

Announced = Push | RefDeleted | ChangeRequest | Comment | ImagePush
"""What starts something."""

Event = Announced | Ping | Ignored
