"""The autoencoder of fixed size that learned compression is often introduced with, as a baseline that runs."""
