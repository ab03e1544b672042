"""Image registries: a file each, all in one event, `model.image_push.ImagePush`."""
