"""How outcomes that a time limit ended are worded: in a record they are known by it, and other tools are told of it."""

BUILD = "a build must end within"
ANSWER = "no answer within"
