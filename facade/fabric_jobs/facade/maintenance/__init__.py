"""Maintenance: changes that no caller asks for, because a time has passed or an executor is silent.

Any facade may make them. The facade of rank 0 acts first; a later one acts if that facade did not.
"""
