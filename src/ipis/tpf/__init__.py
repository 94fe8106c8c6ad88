"""The trusted pseudonym manager: takes sealed parcels, replaces the numbers, forwards, never sees health."""
