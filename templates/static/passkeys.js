/* Passkeys: a form with data-passkey holds a question as JSON (WebAuthn Level 3, 5.1.8); its button asks the device, and
   the answer goes with the form. Without such a device the form stays hidden. */
(function () {
  "use strict";
  function bytes(text) {
    return Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), function (c) { return c.charCodeAt(0); });
  }
  function text(buffer) {
    if (!buffer) return null;
    return btoa(String.fromCharCode.apply(null, new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }
  function named(list) {
    return (list || []).map(function (one) { return Object.assign({}, one, { id: bytes(one.id) }); });
  }
  function ask(form) {
    var question = JSON.parse(form.dataset.passkey);
    question.challenge = bytes(question.challenge);
    if (question.user) {
      question.user = Object.assign({}, question.user, { id: bytes(question.user.id) });
      question.excludeCredentials = named(question.excludeCredentials);
      return navigator.credentials.create({ publicKey: question });
    }
    question.allowCredentials = named(question.allowCredentials);
    return navigator.credentials.get({ publicKey: question });
  }
  function answer(made) {
    var r = made.response, told = { clientDataJSON: text(r.clientDataJSON) };
    if (r.attestationObject) {
      told.attestationObject = text(r.attestationObject);
      told.transports = r.getTransports ? r.getTransports() : [];
    } else {
      told.authenticatorData = text(r.authenticatorData);
      told.signature = text(r.signature);
      told.userHandle = text(r.userHandle);
    }
    return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response: told,
      clientExtensionResults: {}, authenticatorAttachment: made.authenticatorAttachment || null });
  }
  if (!window.PublicKeyCredential || !navigator.credentials) return;
  document.querySelectorAll("form[data-passkey]").forEach(function (form) {
    var said = form.querySelector("[data-said]");
    form.hidden = false;
    form.querySelector("[data-ask]").addEventListener("click", function () {
      var button = this;
      if (!form.reportValidity()) return;
      said.hidden = true; button.disabled = true;
      ask(form).then(function (made) {
        form.elements.credential.value = answer(made);
        form.requestSubmit();
      }).catch(function (problem) {
        said.textContent = problem.name === "InvalidStateError" ? said.dataset.known : said.dataset.failed;
        said.hidden = false;
      }).finally(function () { button.disabled = false; });
    });
  });
}());
