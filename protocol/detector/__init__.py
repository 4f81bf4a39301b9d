"""The failure detector: who is here, and how sure are we? Drive it by `membership.Membership`."""
