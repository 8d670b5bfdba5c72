PrepareCommand.main()
