"""What weir-sqlgen takes, PostgreSQL takes, with the same types: the queries of the test, the shop's, and random ones.

    postgres_test.py WEIR_SQLGEN SOURCE_TREE [SEED COUNT]

Runs a server of its own, in a folder that goes away. Exits with 77 where PostgreSQL is not installed."""
import glob
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

TYPES = {"i": "bigint", "o": "boolean", "d": "double precision", "t": "text", "b": "bytea"}
SCHEMA = """CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, note TEXT, at BIGINT NOT NULL,
  ratio DOUBLE PRECISION, open BOOLEAN NOT NULL DEFAULT FALSE, data BYTEA);
CREATE TABLE u (id BIGINT NOT NULL PRIMARY KEY, t_id BIGINT NOT NULL REFERENCES t, name BIGINT);
"""


class Server:
    """A PostgreSQL that listens in a folder only. It does not run as root."""

    def __init__(self):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")) or [shutil.which("initdb") or ""]
        if not found[-1]:
            sys.exit(77)
        self.bin = os.path.dirname(found[-1])
        self.dir = tempfile.mkdtemp(prefix="weir-pg-")
        self.user = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
        if self.user:
            shutil.chown(self.dir, "nobody")
        self.run("initdb", "-D", self.dir + "/data", "-A", "trust", "-U", "weir", "--no-sync")
        self.run("pg_ctl", "-D", self.dir + "/data", "-l", self.dir + "/log", "-w",
                 "-o", f"-c listen_addresses='' -c fsync=off -k {self.dir}", "start")

    def run(self, program, *arguments):
        subprocess.run([*self.user, f"{self.bin}/{program}", *arguments], check=True, cwd=self.dir,
                       stdout=subprocess.DEVNULL)

    def stop(self):
        self.run("pg_ctl", "-D", self.dir + "/data", "-m", "immediate", "stop")
        shutil.rmtree(self.dir)

    def script(self, database, text):
        return subprocess.run([f"{self.bin}/psql", "-h", self.dir, "-U", "weir", "-d", database, "-Atqf", "-"],
                              input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False).stdout


def unquote(literals):
    text = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals))
    return re.sub(r"\\(\d{3}|.)", lambda m: chr(int(m[1], 8)) if len(m[1]) == 3 else m[1], text)


def generate(sqlgen, schema, queries):
    """(name, parameters, columns, SQL) of each statement; None: they are refused."""
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run([sqlgen, "--out", out, "--name", "x", "--queries", queries, *schema],
                              capture_output=True, text=True, check=False)
        if done.returncode == 1:
            return None
        assert done.returncode == 0, f"{queries}: {done.stderr}"
        with open(f"{out}/x.c", encoding="utf-8") as file:
            source = file.read()
    found = re.findall(r'\{\.name = "(\w+)",\s*\.place = "[^"]*",\s*\.parameters = "(\w*)",\s*\.columns = "(\w*)",'
                       r'\s*\.sql =\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\}', source)
    return [(name, parameters, columns, re.sub(r"\?(\d+)", r"$\1", unquote(sql)))
            for name, parameters, columns, sql in found]


def check(server, database, statements):
    """Prepares each with the types that it says, and describes its columns. Returns what differs."""
    script = ""
    for i, (_, parameters, columns, sql) in enumerate(statements):
        types = ", ".join(TYPES[letter] for letter in parameters)
        script += f"\\echo @@{i} PREPARE\nPREPARE q{i}{f'({types})' if types else ''} AS {sql};\n"
        if columns:
            described = re.sub(r"\$(\d+)", lambda m: "NULL::" + TYPES[parameters[int(m[1]) - 1]], sql)
            script += f"\\echo @@{i} columns\n{described} \\gdesc\n"
    wrong = []
    for part in server.script(database, script).split("@@")[1:]:
        head, _, said = part.partition("\n")
        name, _, columns, sql = statements[int(head.split()[0])]
        expected = "".join(TYPES[letter] + "\n" for letter in columns) if head.endswith("columns") else ""
        got = said if "ERROR" in said else "".join(line.split("|")[-1] + "\n" for line in said.splitlines())
        if got != expected:
            wrong.append(f"{name}: {sql}\n  {got.strip()}")
    return wrong


# ---- Random statements ----

TABLES = {"t": {"id": "i", "name": "t", "note": "t", "at": "i", "ratio": "d", "open": "o", "data": "b"},
          "u": {"id": "i", "t_id": "i", "name": "i"}}
WORDS = {"i": "BIGINT", "t": "TEXT", "d": "DOUBLE PRECISION", "o": "BOOLEAN"}


class Writer:
    def __init__(self, rng):
        self.rng = rng
        self.tables = []  # (alias, table)
        self.parameters = 0

    def column(self, kind=None):
        found = [(alias, name) for alias, table in self.tables for name, type_ in TABLES[table].items()
                 if kind in (None, type_)]
        if not found:
            return None
        alias, name = self.rng.choice(found)
        several = sum(name in TABLES[table] for _, table in self.tables) > 1
        return f"{alias}.{name}" if several or self.rng.random() < 0.5 else name

    def parameter(self):
        """Always a new one: of one that stands twice, once in an expression, only the server knows that it fits there."""
        self.parameters += 1
        return f"@p{self.parameters}"

    def literal(self, kind):
        choices = {"i": ["1", "0", "-3"], "t": ["'x'", "'it''s'"], "d": ["1.5"], "o": ["TRUE", "FALSE"]}
        return self.rng.choice(choices[kind]) if kind in choices else self.parameter()

    def expression(self, kind, depth=0):
        dice = self.rng.random()
        if dice < 0.4 or depth > 2:
            return self.column(kind) or self.literal(kind)
        if dice < 0.55:
            return self.parameter()
        if dice < 0.65:
            return self.literal(kind)
        left, right = self.expression(kind, depth + 1), self.expression(kind, depth + 1)
        if dice < 0.75:
            return f"COALESCE({left}, {right})"
        if dice < 0.85 and kind in "id":
            return f"{left} {self.rng.choice('+-*')} {right}"
        if dice < 0.9 and kind == "t":
            return f"{left} || {right}"
        if dice < 0.95 and kind != "b":
            return f"CAST({left} AS {WORDS[kind]})"
        return f"CASE WHEN {self.condition(depth + 1)} THEN {left} ELSE {right} END"

    def condition(self, depth=0):
        dice, kind = self.rng.random(), self.rng.choice("iiitttdo")
        if depth < 3 and dice < 0.2:
            return f"{self.condition(depth + 1)} {self.rng.choice(['AND', 'OR'])} {self.condition(depth + 1)}"
        left, right = self.expression(kind, 2), self.expression(kind, 2)
        if dice < 0.6:
            return f"{left} {self.rng.choice(['=', '<>', '<', '>='])} {right}"
        if dice < 0.68:
            return f"{left} IN ({right}, {self.expression(kind, 2)})"
        if dice < 0.75:
            return f"{left} BETWEEN {right} AND {self.expression(kind, 2)}"
        if dice < 0.82:
            return f"{left} IS {self.rng.choice(['', 'NOT '])}NULL"
        if dice < 0.87:
            return f"{left} IS NOT DISTINCT FROM {right}"
        if dice < 0.92:
            return f"({self.column('i')}, {self.column('i')}) < ({self.parameter()}, {self.parameter()})"
        if dice < 0.96:
            return self.expression("o", 2)
        outer, self.tables = self.tables, self.tables + [("w", "u")]
        inner = self.condition(3)
        self.tables = outer
        return f"EXISTS (SELECT 1 FROM u w WHERE {inner})"

    def item(self, number):
        kind = self.rng.choice("iiittdo")
        if self.rng.random() < 0.6:
            return f"{self.column()} AS c{number}"
        value = self.expression(kind)
        return f"CAST({value} AS {WORDS[kind]}) AS c{number}" if self.rng.random() < 0.8 else f"{value} AS c{number}"

    def select(self):
        self.tables, source = self.rng.choice([
            ([("t", "t")], "t"), ([("u", "u")], "u"), ([("x", "t"), ("u", "u")], "t AS x, u"),
            ([("a", "t"), ("b", "u")], "t a LEFT JOIN u b ON b.t_id = a.id")])
        items = ", ".join(self.item(i) for i in range(self.rng.randint(1, 3)))
        limit = f" LIMIT {self.parameter()}" if self.rng.random() < 0.3 else ""
        return f"SELECT {items} FROM {source} WHERE {self.condition()}{limit}"

    def write(self):
        table = self.rng.choice("tu")
        self.tables = [(table, table)]
        name, kind = self.rng.choice(list(TABLES[table].items()))
        if self.rng.random() < 0.5:
            return f"UPDATE {table} SET {name} = {self.expression(kind)} WHERE {self.condition()}"
        values = ", ".join(self.rng.choice([self.parameter(), self.literal(type_)])
                           for type_ in TABLES[table].values())
        other = self.rng.choice(["excluded." + name, self.parameter(), f"{table}.{name}"])
        return (f"INSERT INTO {table} ({', '.join(TABLES[table])}) VALUES ({values})"
                f" ON CONFLICT (id) DO UPDATE SET {name} = {other}")


def random_statements(sqlgen, folder, seed, count):
    schema, queries = f"{folder}/001_random.sql", f"{folder}/queries.sql"
    with open(schema, "w", encoding="utf-8") as file:
        file.write(SCHEMA)
    taken = []
    for i in range(count):
        writer = Writer(random.Random(seed * 1000003 + i))
        reads = writer.rng.random() < 0.7
        sql = writer.select() if reads else writer.write()
        with open(queries, "w", encoding="utf-8") as file:
            file.write(f"-- name: random_{i} {':many' if reads else ':exec'}\n{sql};\n")
        taken += generate(sqlgen, [schema], queries) or []
    return taken


def main(sqlgen, tree, seed=1, count=60):
    server = Server()
    wrong = []
    try:
        sets = [(f"{tree}/tests/unit/codegen/sql", "[0-9]*.sql")]
        sets += [(os.path.dirname(path), "schema/*.sql") for path in sorted(glob.glob(f"{tree}/services/*/queries.sql"))]
        for number, (folder, pattern) in enumerate(sets):
            schema = sorted(glob.glob(f"{folder}/{pattern}"))
            server.script("postgres", f"CREATE DATABASE set{number};")
            for path in schema:
                with open(path, encoding="utf-8") as file:
                    said = server.script(f"set{number}", file.read().replace("WITHOUT ROWID", ""))
                wrong += [f"{path}: {said}"] if "ERROR" in said else []
            statements = generate(sqlgen, schema, f"{folder}/queries.sql")
            print(f"{os.path.relpath(folder, tree)}: {len(statements)} statements")
            wrong += check(server, f"set{number}", statements)
        server.script("postgres", "CREATE DATABASE random;")
        server.script("random", SCHEMA)
        statements = random_statements(sqlgen, server.dir, int(seed), int(count))
        print(f"random: {len(statements)} of {count} are taken")
        wrong += check(server, "random", statements)
    finally:
        server.stop()
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
