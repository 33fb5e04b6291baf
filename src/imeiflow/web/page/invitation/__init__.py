"""The one-time link: the first user, further users, a new password."""
