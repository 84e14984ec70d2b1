import assert from "node:assert/strict"
import { once } from "node:events"
import { after, test } from "node:test"

import { app } from "../app.js"

const server = app.listen(0, "127.0.0.1")
await once(server, "listening")
after(() => server.close())

test("it is well", async () => {
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/health`)
  assert.equal(await answer.text(), "ok")
})
