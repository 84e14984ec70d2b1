// The app: its paths and what they answer.
import express from "express"

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A new app</title>
<h1>Nothing here yet</h1>
</html>
`

export const app = express()

app.disable("x-powered-by")
app.use(express.json({ limit: "100kb" }))

app.get("/", (request, response) => {
  response.type("html").send(PAGE)
})

app.get("/health", (request, response) => {
  response.type("text").send("ok")
})
