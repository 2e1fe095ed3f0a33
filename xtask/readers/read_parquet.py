"""What DuckDB finds in the two tables of a folder: sums of each run as JSON.

Usage: python3 read_parquet.py FOLDER
"""

import json
import sys

import duckdb

folder = sys.argv[1]
crossings = f"read_parquet('{folder}/crossings.parquet')"
nodes = f"read_parquet('{folder}/path_nodes.parquet')"


def rows(query):
    return duckdb.sql(query).fetchall()


runs = {
    run: {"mode": mode, "classes": classes, "crossings": crossings, "instructions": int(instructions), "phases": int(phases)}
    for run, mode, classes, crossings, instructions, phases in rows(
        f"""SELECT run, mode, count(*), sum(count)::BIGINT, sum(count * instructions),
                   sum(count * (entry + entry_work + dispatch + copy + service + exit_work + exit))
            FROM {crossings} GROUP BY ALL"""
    )
}
for run, count, own in rows(
    f"SELECT run, count(*), sum(own * count) FROM {nodes} GROUP BY ALL"
):
    runs[run] |= {"nodes": count, "own": int(own)}

# A node's total is its own and its children's; a root's is its class's.
[(unbalanced,)] = rows(
    f"""WITH n AS (SELECT * FROM {nodes}),
             below AS (SELECT run, class, parent, sum(total) AS total FROM n GROUP BY ALL)
        SELECT count(*) FROM n LEFT JOIN below
          ON n.run = below.run AND n.class = below.class AND n.node = below.parent
        WHERE n.total <> n.own + coalesce(below.total, 0)"""
)
[(apart,)] = rows(
    f"""SELECT count(*) FROM {crossings} c LEFT JOIN {nodes} n
          ON c.run = n.run AND c.class = n.class AND n.parent IS NULL
        WHERE n.total IS DISTINCT FROM c.instructions
           OR n.class_id <> c.class_id OR n.call <> c.call OR n.depth <> 0"""
)
[(unit,)] = rows(
    f"SELECT decode(value) FROM parquet_kv_metadata('{folder}/crossings.parquet') WHERE decode(key) = 'unit'"
)
print(json.dumps({
    "runs": [runs[run] for run in sorted(runs)],
    "unbalanced": unbalanced,
    "apart": apart,
    "unit": unit,
}))
