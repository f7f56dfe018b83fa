package sigstore
