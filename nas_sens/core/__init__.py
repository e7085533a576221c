"""What every other room stands on: errors, identity, declarations, the registry, candidates, devices."""
