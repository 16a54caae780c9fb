"""What commands share: opening a workspace, asking a server, signing, printing."""
