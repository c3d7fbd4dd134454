"""What a result was made by, and whether code that has changed since then makes the same numbers.

`normal` gives code a form in which nothing shows that cannot move a number; `closure` finds the code that a result
depends on; `made_by` hashes it with parameters, files, images and versions of packages; `lineage` keeps proofs that two
such hashes stand for the same numbers; `states` judges rows; `changes` finds what differs between two codes. It is
`csbench.studies.prove` that runs old and new code beside each other.
"""
