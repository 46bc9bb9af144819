"""Registered sources of other departments, fetched on a schedule into drafts."""
