"""What `--data` names on other machines, brought here before it is read: `place.bring` is the way in."""
