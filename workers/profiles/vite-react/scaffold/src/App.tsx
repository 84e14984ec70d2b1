export function App() {
  return (
    <main>
      <h1>Nothing here yet</h1>
    </main>
  )
}
