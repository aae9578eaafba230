terraform {
  required_version = ">= 1.6" # terraform test
}
