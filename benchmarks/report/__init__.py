"""Reports: pieces of self-contained HTML with one look, tables that also print as Markdown.

`page` puts pieces together; `pieces` makes text, tables and images; `figures` charts and meshes;
`parity_sections` and `bench_sections` are what `verify` and `bench run` show.
"""
