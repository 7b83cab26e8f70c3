"""Scenes that several tests play: machines with a load, servers, peers that mean no good."""
