"""Keep the operations named in config.yaml of Airflow's OpenAPI document, and what they refer to: trim.py DOCUMENT CONFIG > OUT"""

import sys

import yaml


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


document, config = (yaml.safe_load(open(path, encoding="utf-8")) for path in sys.argv[1:])
wanted = set(config["output-options"]["include-operation-ids"])

paths = {}
for path, item in document["paths"].items():
    operations = {k: v for k, v in item.items() if isinstance(v, dict) and v.get("operationId") in wanted}
    if operations:
        shared = {k: v for k, v in item.items() if k == "parameters"}
        paths[path] = shared | operations
        wanted -= {v["operationId"] for v in operations.values()}
if wanted:
    sys.exit(f"the document lacks the operations {sorted(wanted)}")

schemas, queue = {}, list(references(paths))
while queue:
    name = queue.pop().removeprefix("#/components/schemas/")
    if name not in schemas:
        if name.startswith("#"):
            sys.exit(f"{name} is not a schema")
        schemas[name] = document["components"]["schemas"][name]
        queue += references(schemas[name])

for item in paths.values():
    for operation in item.values():
        operation.pop("security", None)

out = {"openapi": document["openapi"], "info": {"title": document["info"]["title"], "version": document["info"]["version"]}, "paths": paths}
out["components"] = {"schemas": dict(sorted(schemas.items()))}
yaml.safe_dump(out, sys.stdout, sort_keys=False, allow_unicode=True, width=140)
