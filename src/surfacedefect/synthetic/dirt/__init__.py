"""Harmless things on the paint: dust, dirt, drops, stickers."""
