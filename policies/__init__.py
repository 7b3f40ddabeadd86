"""Policies, their networks, and PPO on RLlib."""
