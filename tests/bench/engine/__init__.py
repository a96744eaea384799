"""Worker, queue and watcher beside their yardsticks. On PostgreSQL:

    tests/with_postgres sh -c \\
        'BERTH_DATABASE_URL=$BERTH_TEST_POSTGRES_URL pytest tests/bench/engine -m bench'
"""
