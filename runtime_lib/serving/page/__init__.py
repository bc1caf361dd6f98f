"""The pages of a server, made of its status and of the signature of its model; nothing here knows HTTP."""
