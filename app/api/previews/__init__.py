"""Previews: what reaches a preview's host goes to the app in the box, and never to a route of ours."""
