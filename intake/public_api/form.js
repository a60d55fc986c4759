// The script of the form. Without it, everything works except progress, retries, the early check of the file, and the
// question before a change of the language.
const form = document.querySelector("form[data-texts]")
const setting = name => form.getAttribute(name) // a field may have the name of a property, such as "action"
const texts = JSON.parse(setting("data-texts"))
const language = document.documentElement.lang
const button = form.querySelector("button")
const file = form.querySelector("#CV")
const zone = file.parentElement
const RETRIES = 6 // without a click
const LONGEST_WAIT_S = 300 // above, the sender decides

const make = (name, properties) => Object.assign(document.createElement(name), properties)
const state = form.appendChild(make("div", {className: "state", hidden: true}))
const message = state.appendChild(make("p"))
message.setAttribute("role", "status")
const countdown = state.appendChild(make("p")) // not announced each second
const progress = state.appendChild(make("progress", {max: 100, value: 0, hidden: true}))
progress.setAttribute("aria-label", texts.sending)
const cancel = state.appendChild(make("button", {type: "button", className: "plain", textContent: texts.cancel}))

let request = null, timer = 0, retries = 0

// the server makes the idempotency key from the content, so a retry of the same content has the same key

form.addEventListener("submit", event => {
  event.preventDefault()
  retries = 0
  if (!request && checkFile()) send()
})

cancel.addEventListener("click", () => {
  stopWaiting()
  request?.abort()
  show(texts.cancelled)
  button.focus()
})

addEventListener("online", () => { if (timer) send() })

let isChanged = false
form.addEventListener("input", () => { isChanged = true })
for (const link of document.querySelectorAll("nav a")) {
  link.addEventListener("click", () => { if (isChanged) addEventListener("beforeunload", askToStay) })
}

function send() {
  stopWaiting()
  showFaults(null)
  request = new XMLHttpRequest()
  request.open("POST", setting("action"))
  request.setRequestHeader("Accept", "text/html")
  request.setRequestHeader("Prefer", "return=minimal") // 204 in place of a redirect
  request.responseType = "document"
  request.overrideMimeType("text/html; charset=utf-8") // an empty 204 would be an XML error with an inline style
  request.upload.onprogress = ({loaded, total}) => { progress.value = 100 * loaded / total }
  request.onload = () => finish(request.status, request.response, Number(request.getResponseHeader("Retry-After")))
  request.onerror = () => finish(0)
  request.onabort = () => end()
  request.send(new FormData(form))
  addEventListener("beforeunload", askToStay)
  progress.value = 0
  show(texts.sending, {isSending: true})
}

async function finish(status, page, wait) {
  const isLost = status !== 204 && !await isReadable(file.files[0])
  end()
  if (status === 204) {
    show("")
    document.body.scrollIntoView() // in a high frame, the next page is at the top, and can't scroll the page around it
    location.assign(setting("data-thanks"))
  } else if (isLost) fault(texts.changed)
  else if (status === 422 && page?.querySelector("form[data-texts]")) {
    if (outline(page) === outline(document)) showFaults(page)
    else HTMLFormElement.prototype.submit.call(form) // the definition has changed: show the new page with these values
  }
  else if (status === 413) fault(texts.large)
  else if (status === 0) retry(texts.offline)
  else if (status === 429) retry(texts.many, wait)
  else if (status === 408 || status === 409 || status >= 500) retry(texts.busy, wait)
  else show(texts.broken)
}

// Return the fields and choices of a page.
function outline(page) {
  const parts = page.querySelectorAll("form [name], form option")
  return [...parts].map(({type, name, value}) => `${type} ${name ?? value}`).join("\n")
}

function end() {
  request = null
  removeEventListener("beforeunload", askToStay)
}

function retry(reason, wait) {
  let seconds = wait > 0 ? Math.ceil(wait) : Math.min(60, 5 * 2 ** retries)
  if (++retries > RETRIES || seconds > LONGEST_WAIT_S) return show(`${reason} ${texts.later}`)
  show(`${reason} ${texts.again}`, {isWaiting: true})
  const tick = () => {
    if (seconds <= 0) return send()
    countdown.textContent = texts.countdown.replace("{time}", duration(seconds--))
    timer = setTimeout(tick, 1000)
  }
  tick()
}

function stopWaiting() {
  clearTimeout(timer)
  timer = 0
}

function duration(seconds) {
  try {
    return new Intl.NumberFormat(language, {style: "unit", unit: "second", unitDisplay: "long"}).format(seconds)
  } catch { // an old browser
    return `${seconds} s`
  }
}

function show(text, {isSending = false, isWaiting = false} = {}) {
  state.hidden = !text
  message.textContent = text
  countdown.textContent = ""
  countdown.hidden = !isWaiting
  progress.hidden = !isSending
  cancel.hidden = !(isSending || isWaiting)
  state.scrollIntoView({block: "nearest"})
}

function askToStay(event) {
  event.preventDefault()
  event.returnValue = "" // older browsers
}

// the file, checked before it is sent

function checkFile() {
  const chosen = file.files[0]
  if (!chosen) return true // without the browser's validation
  const types = file.accept.split(",").filter(Boolean)
  const isAccepted = !types.length || types.some(type => chosen.name.toLowerCase().endsWith(type))
  const isLarge = chosen.size > Number(setting("data-max-bytes"))
  if (isAccepted && !isLarge && chosen.size) return true
  fault(!isAccepted ? texts.type : isLarge ? texts.large : texts.empty)
  return false
}

// A browser sends nothing, or something incomplete, if a file was changed on disk after it was chosen.
async function isReadable(chosen) {
  try {
    await chosen?.slice(0, 1).arrayBuffer()
    return true
  } catch (error) {
    return !(error instanceof DOMException) // an old browser
  }
}

function fault(text) {
  show("")
  const error = make("p", {className: "error", id: "CV-error"})
  error.setAttribute("role", "alert") // the file may have the focus already
  error.append(make("span", {className: "away", textContent: texts.error}), ` ${text}`)
  mark(file.closest(".field"), error)
  file.focus()
}

file.addEventListener("change", () => {
  mark(file.closest(".field"), null)
  checkFile()
})

// Show the errors of a page that the server rendered, and leave the values and the file as they are.
function showFaults(page) {
  document.title = page ? page.title : document.title
  document.getElementById("error-summary").replaceChildren(...(page?.getElementById("error-summary").childNodes ?? []))
  for (const field of form.querySelectorAll(".field")) {
    mark(field, page?.getElementById(field.id)?.querySelector(".error"))
  }
  if (!page) return
  show("")
  document.querySelector("#error-summary [tabindex]")?.focus()
}

function mark(field, error) {
  const input = field.querySelector("input, select, textarea")
  field.querySelector(".error")?.remove()
  document.getElementById("CV-again")?.remove() // the file is still chosen
  if (error && input.type === "checkbox") field.append(error)
  else if (error) (field.querySelector(".zone") ?? input).before(error)
  field.classList.toggle("wrong", Boolean(error))
  error ? input.setAttribute("aria-invalid", "true") : input.removeAttribute("aria-invalid")
  const notes = [...field.querySelectorAll("p[id]")].map(({id}) => id).join(" ")
  notes ? input.setAttribute("aria-describedby", notes) : input.removeAttribute("aria-describedby")
}

// a drop zone around the input; elsewhere, a browser would replace the page with a dropped file

zone.classList.add("drop")
zone.append(make("span", {className: "hint", textContent: texts.drop}))
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(name, event => {
    if (!event.dataTransfer.types.includes("Files")) return
    event.preventDefault()
    const isInZone = zone.contains(event.target)
    zone.classList.toggle("over", isInZone && (name === "dragenter" || name === "dragover"))
    if (!isInZone) event.dataTransfer.dropEffect = "none"
    else if (name === "drop" && event.dataTransfer.files.length !== 1) fault(texts.one)
    else if (name === "drop") {
      file.files = event.dataTransfer.files
      file.dispatchEvent(new Event("change"))
    }
  })
}
