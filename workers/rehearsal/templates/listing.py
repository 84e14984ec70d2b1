"""Which items a request asks for: every feature that narrows the list has a line in NARROWING.

Such a feature is a function from the address's query to a list of conditions for `Store.find`.
"""

NARROWING = [
]


def wanted(request):
    conditions = [condition for narrow in NARROWING for condition in narrow(request.query)]
    return request.store.find(conditions)
