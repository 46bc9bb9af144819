"""Submissions of projects: taken in once, checked, decided on; and the quotas they draw on."""
