import assert from 'node:assert/strict'
import { test } from 'node:test'
import { causeOf } from './java-trace.ts'

test('of a stack trace the innermost cause is shown, without frames', () => {
  const trace = `org.apache.kafka.connect.errors.ConnectException: An exception occurred in the change event producer. This connector will be stopped.
\tat io.debezium.pipeline.ErrorHandler.setProducerThrowable(ErrorHandler.java:68)
Caused by: io.debezium.DebeziumException: Couldn't obtain encoding for database postgres
\tat io.debezium.connector.postgresql.connection.PostgresConnection.determineDatabaseCharset(PostgresConnection.java:1)
Caused by: org.postgresql.util.PSQLException: FATAL: password authentication failed for user "postgres"
\tat org.postgresql.core.v3.ConnectionFactoryImpl.doAuthentication(ConnectionFactoryImpl.java:1)
\t... 12 more`

  const cause = causeOf(trace)

  assert.equal(cause, 'PSQLException: FATAL: password authentication failed for user "postgres"')
})

test('a trace without a cause shows its first line', () => {
  assert.equal(
    causeOf('java.lang.OutOfMemoryError: Java heap space\n\tat a.B.c(B.java:1)'),
    'OutOfMemoryError: Java heap space',
  )
  assert.equal(causeOf(''), 'nothing is said')
})
