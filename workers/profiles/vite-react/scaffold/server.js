// Serves the built page; what the page keeps goes below /api.
import path from "node:path"
import express from "express"

const dist = path.join(import.meta.dirname, "dist")
const app = express()

app.disable("x-powered-by")
app.use(express.json({ limit: "100kb" }))

app.get("/health", (request, response) => {
  response.type("text").send("ok")
})

app.use("/api", (request, response) => {
  response.status(404).json({ detail: "There is no such thing." })
})

app.use(express.static(dist))
app.get("/{*path}", (request, response) => {
  response.sendFile("index.html", { root: dist })
})

app.listen(Number(process.env.PORT ?? 8000), "127.0.0.1")
