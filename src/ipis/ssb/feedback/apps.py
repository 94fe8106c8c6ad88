"""Feedback as a Django app."""

from django.apps import AppConfig


class FeedbackConfig(AppConfig):
    """What goes back to the municipality."""

    name = "ipis.ssb.feedback"
    label = "feedback"
