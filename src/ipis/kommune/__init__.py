"""The municipality: extract, check, seal, send; fetch and open the feedback."""
