"""Pages for people and interfaces for programs; what they do stands in the modules beside this folder."""
