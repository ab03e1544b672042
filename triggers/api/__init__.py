"""The API under `/api/v1`: what people and scripts ask and steer. Every route is authenticated."""
