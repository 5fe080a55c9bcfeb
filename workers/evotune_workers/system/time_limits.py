"""The words with which a reason tells that a time limit ended a trial; stored trials are recognised by them."""

BUILD = "a build must end within"
ANSWER = "no answer within"
