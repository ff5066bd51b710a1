"""The pages behind Admin → Extensions.

They hold no rules: who may is in `services` and `entitlements`, the order of accounts in `routing`, the steps of a
set-up in `checklist`.
"""
